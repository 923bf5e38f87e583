"""Two audits beside each other: what can be compared, what rose and fell, which findings are new, and which themes set them apart."""
