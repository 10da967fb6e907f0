"""What the commands do: read the options, check, run a flow, say what came of it. No logic of their own."""
