"""The built book in a browser: served as GitHub Pages serves it, printed to PDF, and audited."""
