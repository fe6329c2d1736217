"""The demo company: Fernhill Instruments, invented for this project, with its people, groups and documents.

`company.toml` has the people, `company/` the documents with their readers, `questions.toml` what people ask and where the
answer is, and `seed` puts all of it into an empty Switchboard at the first start.
"""
