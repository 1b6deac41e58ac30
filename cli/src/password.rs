//! Passwords: from stdin or from a prompt, never from an argument.

use std::io::{self, IsTerminal as _};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{error::Error, prompt};

/// Where the password comes from.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from stdin instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// A password that exists: the first line of stdin, the rest of which is left, or what is typed.
    pub(crate) async fn read_known(&self) -> Result<SecretString, Error> {
        if !self.password_stdin {
            return prompt::hidden("Password: ").await;
        }
        let mut text = String::new();
        io::stdin().read_line(&mut text).map_err(|cause| unreadable(&cause))?;
        Ok(without_line_end(&text).into())
    }

    /// The password: all of stdin but one line end, or what is typed twice.
    pub(crate) async fn read(&self) -> Result<SecretString, Error> {
        if self.password_stdin {
            let text = io::read_to_string(io::stdin()).map_err(|cause| unreadable(&cause))?;
            return Ok(without_line_end(&text).into());
        }
        if !io::stdin().is_terminal() {
            return Err(Error::Usage(
                "there is no terminal to ask for the password on: give it with --password-stdin"
                    .to_owned(),
            ));
        }
        let first = prompt::hidden("Password: ").await?;
        let second = prompt::hidden("Again: ").await?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Error::Usage("the two passwords differ".to_owned()));
        }
        Ok(first)
    }
}

fn unreadable(cause: &io::Error) -> Error {
    Error::Usage(format!("cannot read the password: {cause}"))
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_password() {
        for (typed, password) in [
            ("secret pass", "secret pass"),
            ("secret pass\n", "secret pass"),
            ("secret pass\r\n", "secret pass"),
            ("secret pass \n", "secret pass "),
            ("secret\n\n", "secret\n"),
        ] {
            assert_eq!(without_line_end(typed), password);
        }
    }
}
