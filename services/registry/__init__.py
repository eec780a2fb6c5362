"""Who and where: seekers, employers, communities, stations, posts, placements, shifts. Consumes no topic."""
