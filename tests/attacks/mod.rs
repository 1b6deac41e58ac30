//! What an attacker may try, one test each, over both transports where both can be attacked.
//!
//! | attack | tests |
//! |---|---|
//! | tokens that are not what they seem | `access_tokens`, `assertions`; each call in `authorization` |
//! | tokens of the past: ended sessions, old refresh tokens | `authorization`, `login::told`, `login::refresh`, `nodes::no_grace` |
//! | what is another's: conversations, page tokens, ids | `others`, `authorization::strangers` |
//! | the wrong listener | `authorization::grpc` |
//! | logins in masses, given up or not; guesses by the thousand | `logins`, `limits::logins` |
//! | little traffic that makes the server keep much in memory | `memory`, `limits::streams` |
//! | reads in masses, given up or not | `reads`, `limits::reads` |
//! | requests that are not what they should be | `requests`, `strings`, `parsers`, `tokens`, `fuzz` |

mod access_tokens;
mod assertions;
mod fuzz;
mod logins;
mod memory;
mod others;
mod parsers;
mod reads;
mod requests;
mod strings;
mod tokens;
