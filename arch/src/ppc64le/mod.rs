//! ppc64le: OpenPOWER ELFv2, little-endian.
