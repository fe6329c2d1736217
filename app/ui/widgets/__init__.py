"""What pages share. `words` and the `*_html` modules are plain functions; the others draw with Streamlit."""
