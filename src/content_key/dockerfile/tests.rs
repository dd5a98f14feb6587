//! What the reader makes of Dockerfiles.
