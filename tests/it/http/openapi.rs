//! The committed document is the one that this build serves.

use crate::support::api::Api;

#[test]
fn the_committed_document_is_up_to_date() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap_or_default();
    assert!(
        committed == windlass::http::openapi_json(),
        "openapi.json is out of date; write it anew: cargo run --bin windlass -- openapi > openapi.json"
    );
}

#[tokio::test]
async fn the_served_document_is_the_committed_one() {
    let api = Api::start().await;
    let served = api.get("", "/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(served.text, windlass::http::openapi_json());
}

#[tokio::test]
async fn the_documentation_needs_no_other_origin() {
    let api = Api::start().await;
    for (path, media) in [("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css")]
    {
        let page = api.get("", path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").is_some_and(|t| t.starts_with(media)), "{path}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
        assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{path} names another origin");
        assert!(!page.text.contains("innerHTML") && !page.text.contains("onclick"), "{path}");
    }
}
