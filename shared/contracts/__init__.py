"""The public product: every event that crosses a topic, and the topics themselves. One module per producer."""
