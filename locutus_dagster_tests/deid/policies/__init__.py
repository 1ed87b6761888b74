"""Policy files: reading them, and what the shipped ones say."""
