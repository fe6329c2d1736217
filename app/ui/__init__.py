"""The pages: one thin file each under `screens/`, what they share under `widgets/`, all of Streamlit in here.

`main.py` runs at every interaction: it proves who is looking, draws the sidebar and opens one page. Pages hold no rules; they
ask `app.access` and show its reason.
"""
