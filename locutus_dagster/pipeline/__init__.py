"""One accession through its phases, and a batch of accessions through a pool of workers."""
