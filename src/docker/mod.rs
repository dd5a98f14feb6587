//! The Docker Engine: finding it, building with its BuildKit, looking into images, and pushing them. No docker CLI is
//! needed, and nothing is written to the user's Docker configuration.

mod context;
mod ignore;
