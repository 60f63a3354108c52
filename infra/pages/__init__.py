"""Pages to read in a browser or print: one file each, without network, script or fonts of others."""
