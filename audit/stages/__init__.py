"""The stages of an audit, one module each: a function from the folder's tables to one more. ``audit.cli`` puts the table together."""
