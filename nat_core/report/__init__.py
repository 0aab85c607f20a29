"""What a person looks at: summaries of archives, tables and the live display."""
