"""One file a page, each with `render(services, person)`. Its name is the name that the policy knows it by."""
