"""Where a batch stands: reports over the ledger, and the manifests that follow from them."""
