//! What only a real engine can prove. Ignored unless asked for:
//! `DOCKER_HOST=… cargo test --lib docker::engine_tests -- --ignored`. Images are named `shipit-engine-test/…`.

mod bench;
mod building;
mod context;
mod failing;
mod memory;
mod pushing;
