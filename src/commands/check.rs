//! stub
use super::Context;
use crate::cli::CheckArgs;
use crate::error::Result;
use crate::exit::Exit;
pub(super) fn run(_a: &CheckArgs, _c: &Context) -> Result<Exit> {
    todo!()
}
