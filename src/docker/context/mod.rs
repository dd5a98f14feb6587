//! The build context as BuildKit asks for it: which paths there are (`walk`), which of them count (`filter`, `follow`),
//! and what is said of each (`stat`). Nothing here knows of gRPC.

mod entry;
mod filter;
mod follow;
mod stat;
mod walk;

pub(crate) use entry::{ContextFilter, Entry, EntryKind, walk_context};
pub(crate) use filter::Filter;
pub(crate) use follow::follow;
pub(crate) use stat::has_content;
pub(crate) use walk::{WalkError, walk};
