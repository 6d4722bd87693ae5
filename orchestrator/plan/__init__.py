"""Plan files: from text to checked tasks. The way in is `loading`; this package imports nothing by itself."""
