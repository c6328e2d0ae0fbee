"""The language server: what ``leakfix check`` says, while the code is written (the extra ``lsp``)."""
