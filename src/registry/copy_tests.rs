//! Copies between registries that misbehave.
