"""The tuning page: a local server for one dataset's samples, and the page it serves. Knows nothing of cuts."""
