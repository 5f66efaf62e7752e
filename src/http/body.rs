//! Reading request bodies: media type first, then bytes within a limit and a time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, header};

use crate::api::ErrorCode;
use crate::api::job::json_problem;
use crate::api::json::{self, Json};

use super::error::ApiError;

/// What a body says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`
    Json,
    /// `application/x-ndjson`
    Lines,
}

/// The media type of a body, which must be one of `accepted` in UTF-8 without a content coding.
pub(super) fn media(headers: &HeaderMap, accepted: &[Media]) -> Result<Media, ApiError> {
    let refuse = |what: &str| Err(ApiError::at(ErrorCode::UnsupportedMediaType, "Content-Type", what));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let detail = "must be absent: bodies are not compressed";
        return Err(ApiError::at(ErrorCode::UnsupportedMediaType, "Content-Encoding", detail));
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|v| v.to_str().ok()), values.next()) else {
        return refuse("must be there once");
    };
    let mut parts = value.split(';').map(str::trim);
    let media = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "application/json" => Media::Json,
        "application/x-ndjson" => Media::Lines,
        _ => return refuse("must be application/json"),
    };
    let utf8 = |p: &str| {
        p.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    if !parts.all(utf8) {
        return refuse("must be UTF-8");
    }
    if accepted.contains(&media) { Ok(media) } else { refuse("must be application/json") }
}

/// All bytes of a body, at most `limit`, within `time`.
pub(super) async fn bytes(headers: &HeaderMap, body: Body, limit: usize, time: Duration) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::new(ErrorCode::BodyTooLarge, format!("the body may have at most {limit} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut stream = body.into_data_stream();
        let mut all = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| ApiError::new(ErrorCode::InvalidJson, "the body ended early"))?;
            if all.len() + chunk.len() > limit {
                return Err(too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    let late = || ApiError::new(ErrorCode::BodyTimeout, format!("the body took more than {} s", time.as_secs()));
    tokio::time::timeout(time, read).await.unwrap_or_else(|_| Err(late()))
}

/// A body that has to be JSON.
pub(super) async fn document(request: Request, limit: usize, time: Duration) -> Result<Json, ApiError> {
    let (parts, body) = request.into_parts();
    media(&parts.headers, &[Media::Json])?;
    let bytes = bytes(&parts.headers, body, limit, time).await?;
    json::read(&bytes).map_err(|error| json_problem(error).into())
}

/// A body that may be absent; then it counts as `{}`.
pub(super) async fn optional(request: Request, limit: usize, time: Duration) -> Result<Json, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = bytes(&parts.headers, body, limit, time).await?;
    if bytes.is_empty() {
        return Ok(Json::Object(Vec::new()));
    }
    media(&parts.headers, &[Media::Json])?;
    json::read(&bytes).map_err(|error| json_problem(error).into())
}

/// A command without parameters: the body is absent or `{}`.
pub(super) async fn none(request: Request, time: Duration) -> Result<(), ApiError> {
    match optional(request, 4096, time).await? {
        Json::Object(members) => match members.first() {
            None => Ok(()),
            Some((key, _)) => {
                let mut pointer = String::new();
                json::push_pointer(&mut pointer, key);
                Err(ApiError::at(ErrorCode::UnknownField, &pointer, "is not a field of this API"))
            }
        },
        other => {
            let detail = format!("the body must be absent or an object, not {}", other.type_name());
            Err(ApiError::new(ErrorCode::InvalidField, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<Media, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, value.parse().expect("a header"));
        media(&headers, &[Media::Json])
    }

    #[test]
    fn json_in_utf8_is_read_and_nothing_else() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert_eq!(of(good).ok(), Some(Media::Json), "{good}");
        }
        for bad in ["text/plain", "application/json; charset=utf-16", "application/x-ndjson", "json", ""] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(media(&HeaderMap::new(), &[Media::Json]).is_err());
    }

    #[test]
    fn compressed_bodies_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("a header"));
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().expect("a header"));
        assert!(media(&headers, &[Media::Json]).is_err());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
        let time = Duration::from_secs(5);
        let mut headers = HeaderMap::new();
        assert!(bytes(&headers, Body::from(vec![b'x'; 10]), 10, time).await.is_ok());
        assert!(bytes(&headers, Body::from(vec![b'x'; 11]), 10, time).await.is_err());
        headers.insert(header::CONTENT_LENGTH, "11".parse().expect("a header"));
        assert!(bytes(&headers, Body::empty(), 10, time).await.is_err());
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let error = bytes(&HeaderMap::new(), body, 10, Duration::from_millis(10)).await.expect_err("late");
        assert_eq!(error.into_problem().code, "body_timeout");
    }
}
