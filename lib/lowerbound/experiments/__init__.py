"""The measurements of chapter 5: races between models, the sweep over T, and what they are judged by."""
