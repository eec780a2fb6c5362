"""HTTP of revenue: commands of the programme's offices, and everything that the public may check."""
