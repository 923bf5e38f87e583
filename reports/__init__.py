"""The report of an audit: one HTML file that needs no network. Reads records, knows neither torch nor Inspect."""
