"""One file a page, each with `render(services, person)`. Its name is the name that the policy knows it by.

Not called `pages`: beside a main script that name turns on Streamlit's own page discovery, which runs files unasked.
"""
