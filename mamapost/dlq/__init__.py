"""Dead letters as a tool: what was set aside, why, and sending it again."""
