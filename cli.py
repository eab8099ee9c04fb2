"""The `search` command: read options, call the pipeline, print."""
