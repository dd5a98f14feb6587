//! What is generated from the types: the schema of deploy.yaml, shell completions and the manual page.

use clap::CommandFactory as _;

use super::Context;
use crate::cli::Cli;
use crate::config;
use crate::error::{Error, Result};
use crate::exit::Exit;

pub(super) fn schema(context: &Context) -> Result<Exit> {
    context.console.data(&config::schema::schema())?;
    Ok(Exit::Success)
}

pub(super) fn completions(shell: clap_complete::Shell, context: &Context) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shipit", &mut text);
    context.console.data(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Success)
}

pub(super) fn man(context: &Context) -> Result<Exit> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| Error::new(Exit::Fault, "the manual page could not be made").because(&error))?;
    context.console.data(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Success)
}
