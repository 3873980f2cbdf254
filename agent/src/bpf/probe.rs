//! What this kernel and these privileges allow.
