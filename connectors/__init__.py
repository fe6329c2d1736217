"""Sources of documents, one package each. `contract` is all that an author needs; nothing here imports `app`."""
