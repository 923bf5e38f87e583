"""The audited model: loading it safely, running it under Inspect, and reading its residual stream back from logs."""
