//! The OpenAPI document, made from the annotations of the handlers.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, OpenApi, Ref, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

use crate::api::event::{DeltaResetView, DeltaView, EventView, StepView};
use crate::api::job::CreateJob;
use crate::api::{FieldError, PROBLEM_JSON, Problem};

use super::router::documented;

const ABOUT: &str = "Windlass is a job queue engine for AI work: submit jobs over HTTP, a fleet of workers runs \
them, operators watch and steer.\n\nAuthentication is by API key: `Authorization: Bearer wl_…`. A key is bound to \
one workspace, or to all (`*`); a key for all names the workspace of a request in `X-Windlass-Workspace`. Errors are \
RFC 9457 problem documents with a stable `code`. Every answer has an `X-Request-Id`.";

const TAGS: [(&str, &str); 4] = [
    ("jobs", "Submitting, watching and steering jobs of one workspace."),
    ("operators", "Queues, workers and dead letters of the whole fleet."),
    ("admin", "API keys, and the limits and credentials of workspaces."),
    ("server", "Health, metrics and what this server is."),
];

/// The document. The same build always makes the same one.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = documented().into_openapi();
    document.info = InfoBuilder::new()
        .title("Windlass")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .build();
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    document.tags = Some(tags.into());
    document.security = Some(vec![SecurityRequirement::new("api_key", Vec::<String>::new())]);
    let components = document.components.get_or_insert_default();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("wl_…").build();
    components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
    for (name, schema) in [
        (Problem::name(), Problem::schema()),
        (FieldError::name(), FieldError::schema()),
        (EventView::name(), EventView::schema()),
        (StepView::name(), StepView::schema()),
        (DeltaView::name(), DeltaView::schema()),
        (DeltaResetView::name(), DeltaResetView::schema()),
        (CreateJob::name(), CreateJob::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.responses.responses.insert("default".into(), RefOr::T(problem()));
            if operation.tags.as_ref().is_some_and(|tags| tags.iter().any(|tag| tag == "jobs")) {
                operation.parameters.get_or_insert_default().push(RefOr::T(workspace_header()));
            }
        }
    }
    document
}

/// The document as committed in `openapi.json`.
#[must_use]
pub fn openapi_json() -> String {
    // The document is plain data, so serializing it does not fail.
    let mut text = serde_json::to_string_pretty(&openapi()).unwrap_or_default();
    text.push('\n');
    text
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

fn workspace_header() -> Parameter {
    ParameterBuilder::new()
        .name("X-Windlass-Workspace")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(String::schema()))
        .description(Some("The workspace of the request; only for keys that are bound to none."))
        .build()
}

fn problem() -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    ResponseBuilder::new().description("An error; `code` says which.").content(PROBLEM_JSON, content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_same_every_time() {
        assert_eq!(openapi_json(), openapi_json());
    }

    #[test]
    fn every_operation_has_a_summary_and_a_distinct_id() {
        let mut document = openapi();
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                assert!(operation.summary.is_some(), "{path}");
                let id = operation.operation_id.clone().expect("an id");
                assert!(ids.insert(id.clone()), "{id} stands twice");
            }
        }
        assert!(ids.len() >= 25, "{ids:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = openapi_json();
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
