//! Lines of JSON: answers that come step by step, and bodies that do.

use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    model::{Error, Result},
    rest::{extract::read, problem::Problem},
};

/// The media type of lines of JSON.
pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";

/// An answer of one line for each step. An error is the last line, as a problem.
pub(super) fn answer<T: Serialize>(
    steps: impl Stream<Item = Result<T>> + Send + 'static,
) -> Response {
    let lines = steps.map(|step| match step {
        Ok(step) => line(&step),
        Err(error) => line(&Problem::from(error).into_members()),
    });
    ([(CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(lines)).into_response()
}

fn line(value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}

/// The lines of a body that say something, each with its number, as they come. A line is at most `longest` bytes.
pub(super) fn lines(body: Body, longest: usize) -> impl Stream<Item = Result<(i64, Bytes)>> + Send {
    let start = Some((body.into_data_stream(), BytesMut::new(), 0_i64));
    stream::unfold(start, move |state| async move {
        let (mut data, mut buffer, mut number) = state?;
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1).freeze();
                number += 1;
                if !line.trim_ascii().is_empty() {
                    return Some((Ok((number, line)), Some((data, buffer, number))));
                }
                continue;
            }
            if buffer.len() > longest {
                let error =
                    Error::invalid("body", format!("a line is longer than {longest} bytes"));
                return Some((Err(Error::at_line(number + 1, error)), None));
            }
            match data.try_next().await {
                Ok(Some(more)) => buffer.extend_from_slice(&more),
                Ok(None) if buffer.trim_ascii().is_empty() => return None,
                Ok(None) => buffer.extend_from_slice(b"\n"),
                Err(broken) => return Some((Err(Error::unavailable(broken)), None)),
            }
        }
    })
}

/// What stands in a line.
pub(super) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    let wrong = |error: &serde_json::Error| Error::invalid("line", error.to_string());
    let mut json = serde_json::Deserializer::from_slice(line);
    let value =
        read("line", &mut json).map_err(|problem| Error::invalid("line", problem.detail()))?;
    json.end().map_err(|error| wrong(&error))?;
    Ok(value)
}
