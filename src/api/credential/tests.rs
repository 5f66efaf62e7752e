//! Every kind as it comes over the wire, and what is refused.

use secrecy::ExposeSecret as _;

use super::*;

fn read(text: &str) -> Result<GivenCredential, Box<Problem>> {
    PutCredential::read(crate::api::json::read(text.as_bytes()).expect("JSON"))
}

fn pointers(text: &str) -> Vec<String> {
    let problem = read(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
    problem.errors.iter().map(|error| error.pointer.clone()).filter(|pointer| pointer.len() > 1).collect()
}

#[test]
fn every_kind_has_its_form() {
    let google = read(r#"{"kind":"google","client_id":"i","client_secret":"s","refresh_token":"r","scopes":["a"]}"#);
    let google = google.expect("accepted");
    let Material::OAuth(oauth) = google.material else { panic!("no OAuth") };
    assert_eq!((oauth.client_id.as_str(), google.scopes), ("i", vec!["a".to_owned()]));
    assert!(oauth.is_renewable());

    let bare = read(r#"{"kind":"google","access_token":"t"}"#).expect("accepted");
    assert!(matches!(bare.material, Material::OAuth(oauth) if !oauth.is_renewable() && oauth.access_token.is_some()));

    let app = read(r#"{"kind":"microsoft","client_id":"i","client_secret":"s","tenant":"contoso.org"}"#);
    assert!(matches!(app.expect("accepted").material, Material::OAuth(oauth) if oauth.refresh_token.is_none()));

    let smtp = read(r#"{"kind":"smtp","host":"Mail.X.org","username":"u","password":"p","account":"me@x.org"}"#);
    let smtp = smtp.expect("accepted");
    let Material::Smtp(server) = smtp.material else { panic!("no server") };
    assert_eq!((server.host.as_str(), server.port), ("mail.x.org", 587));
    assert_eq!(smtp.account.as_deref(), Some("me@x.org"));

    let header = read(r#"{"kind":"http_header","host":"api.x.org","header":"X-Key","value":"v"}"#).expect("accepted");
    assert!(matches!(header.material, Material::Header(header) if header.value.expose_secret() == "v"));
    assert!(read(r#"{"kind":"webhook","keys":["whsec_YQ=="]}"#).is_ok());
    assert!(read(r#"{"kind":"github","token":"ghp_x"}"#).is_ok());
}

#[test]
fn what_is_missing_or_foreign_is_named() {
    for (text, expected) in [
        ("{}", vec!["/kind"]),
        (r#"{"kind":"twitter"}"#, vec!["/kind"]),
        (r#"{"kind":"github"}"#, vec!["/token"]),
        (r#"{"kind":"github","token":"a","password":"b"}"#, vec!["/password"]),
        (r#"{"kind":"github","token":"a\nb"}"#, vec!["/token"]),
        (r#"{"kind":"github","token":" a"}"#, vec!["/token"]),
        (r#"{"kind":"github","token":"a","scopes":["a b"]}"#, vec!["/scopes"]),
        (r#"{"kind":"google","client_id":"i","client_secret":"s"}"#, vec!["/refresh_token"]),
        (r#"{"kind":"google","client_id":"i","refresh_token":"r","tenant":"x"}"#, vec!["/tenant"]),
        (r#"{"kind":"microsoft","client_id":"i","client_secret":"s"}"#, vec!["/tenant"]),
        (r#"{"kind":"microsoft","client_id":"i","client_secret":"s","tenant":"common"}"#, vec!["/tenant"]),
        (r#"{"kind":"microsoft","client_id":"i","refresh_token":"r","tenant":"a/../b"}"#, vec!["/tenant"]),
        (r#"{"kind":"smtp","host":"a b"}"#, vec!["/host"]),
        (r#"{"kind":"smtp","host":"a","username":"u"}"#, vec!["/password"]),
        (r#"{"kind":"smtp","host":"a","port":0}"#, vec!["/port"]),
        (r#"{"kind":"smtp","host":"a","security":"ssl"}"#, vec!["/security"]),
        (r#"{"kind":"webhook","keys":[]}"#, vec!["/keys"]),
        (r#"{"kind":"webhook","keys":["secret"]}"#, vec!["/keys", "/keys"]),
        (r#"{"kind":"http_header","host":"x","header":"a b","value":"v"}"#, vec!["/header"]),
    ] {
        assert_eq!(pointers(text), expected, "{text}");
    }
}

#[test]
fn no_refusal_repeats_a_secret() {
    let problem = read(r#"{"kind":"github","token":" canary ","value":"canary"}"#).err().expect("refused");
    assert!(!serde_json::to_string(&problem).expect("JSON").contains("canary"));
}
