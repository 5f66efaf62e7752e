//! `llm.chat`: one chat completion.

use std::fmt;
use std::time::Duration;

use async_openai::Client;
use async_openai::traits::RequestOptionsBuilder;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{FailureReason, JobType, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::outbound::client_builder;

use super::capture::Capture;
use super::endpoint::Endpoint;
use super::input::{ChatInput, schema};
use super::stream::{self, Broken, Call, Patience, Streamed};
use super::structured::{self, Format};
use super::{LlmOptions, LlmSetupError, failure, reply};

/// The executor of `llm.chat`.
///
/// A call is repeatable: a retry after a crash may be billed twice, and never has another effect.
/// Dropping the future closes the connection, so a cancelled job stops the provider too.
pub struct LlmChat {
    info: TypeInfo,
    client: Client<Endpoint>,
    http: reqwest::Client,
    options: LlmOptions,
}

impl LlmChat {
    /// Builds the client; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &LlmOptions) -> Result<Self, LlmSetupError> {
        let endpoint = Endpoint::new(options)?;
        let http = client_builder(options.connect_timeout)
            .pool_max_idle_per_host(64)
            .build()
            .map_err(HttpClientError::from)?;
        let capture =
            Capture { http: http.clone(), first_byte: options.first_byte_timeout, idle: options.idle_timeout };
        // `Client::with_config` would build a default HTTP client first, with proxies and redirects.
        let client = Client::build(http.clone(), endpoint).with_http_service(capture);
        let info = TypeInfo {
            name: JobType::new("llm.chat")?,
            summary: "One chat completion by the configured OpenAI-compatible provider.".into(),
            input_schema: schema(),
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(60),
            is_action: false,
        };
        // The key lives in the endpoint only.
        let options = LlmOptions {
            api_key: None,
            base_url: String::new(),
            default_model: options.default_model.clone(),
            ..*options
        };
        Ok(Self { info, client, http, options })
    }

    async fn complete(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let mut request = context.input::<ChatInput>()?.into_request(&self.options);
        let model = request["model"].as_str().unwrap_or_default().to_owned();
        let format = Format::of(request.get("response_format"))
            .map_err(|why| ExecutionError::permanent(FailureReason::Invalid, why))?;
        let mut mended = false;
        loop {
            let answer = self.ask(context, request.clone()).await?;
            if let Some(error) = failure::of_body(&answer, &|text| self.client.config().redact(text)) {
                return Err(error);
            }
            let result = reply::result(&answer, &model)?;
            if matches!(format, Format::Text) {
                return Ok(result);
            }
            let result = result.to_value();
            match format.judge(&result) {
                Ok(_) => return Ok(RawJson::from_value(&result)),
                // The same limit would end it the same way.
                Err(_) if result.get("truncated").is_some() => {
                    let why = "max_output_tokens was used up before the JSON was complete";
                    return Err(ExecutionError::permanent(FailureReason::Truncated, why));
                }
                Err(violated) if mended => return Err(ExecutionError::retryable(FailureReason::Error, violated)),
                Err(violated) => structured::mend(&mut request, &result, &violated),
            }
            mended = true;
            if request["stream"] == true {
                context.reset_deltas();
            }
        }
    }

    async fn ask(&self, context: &JobContext, request: Value) -> Result<Value, ExecutionError> {
        let trace = format!("{}-{}", context.id, context.attempt);
        let redact = |text: &str| self.client.config().redact(text);
        if request["stream"] == true {
            let patience = Patience { first_token: self.options.first_token_timeout, idle: self.options.idle_timeout };
            let call = Call { http: &self.http, endpoint: self.client.config(), trace, patience };
            let streamed = stream::complete(&call, request, &mut |text| context.delta(text)).await;
            return streamed.map(|streamed| streamed.seen(context)).map_err(|broken| {
                let error = failure::outcome(&broken.error, &redact);
                broken.seen(context, error)
            });
        }
        let chat = self
            .client
            .chat()
            .header("x-client-request-id", trace)
            .map_err(|_| ExecutionError::permanent(FailureReason::Invalid, "the request could not be built"))?;
        let answer: Result<Value, _> = chat.create_byot(request).await;
        answer.map_err(|error| failure::outcome(&error, &redact))
    }
}

impl Executor for LlmChat {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        // JSON Schema counts 5.0 as an integer; the run would not.
        ChatInput::deserialize(input).map_err(|e| e.to_string())?;
        Format::of(input.get("response_format")).map(drop)
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.complete(&context).await })
    }
}

impl fmt::Debug for LlmChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmChat").field("default_model", &self.options.default_model).finish_non_exhaustive()
    }
}

impl Streamed {
    fn seen(self, context: &JobContext) -> Value {
        tracing::debug!(job = %context.id, first_token = ?self.first_token, "streamed to its end");
        self.answer
    }
}

impl Broken {
    fn seen(&self, context: &JobContext, mut error: ExecutionError) -> ExecutionError {
        let (first_token, output) = (self.first_token, self.output);
        tracing::debug!(job = %context.id, ?first_token, output, "the stream broke");
        if self.delivered > 0 {
            error.message = format!("{}, after {} bytes of text", error.message, self.delivered);
        }
        error
    }
}
