//! Where a call may go: the providers that can carry it, best first.
//!
//! The order depends on the job and the attempt alone: the id of the job decides where it begins, the
//! number of the attempt how far on in the chain it is. Nothing has to be remembered between attempts, so
//! a crash, or another worker, goes on where this one was.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::estimate;
use super::options::{Capability, LlmOptions};
use super::provider::Provider;
use super::{LlmSetupError, ProviderOptions};
use crate::domain::llm::{Candidate, ModelInfo, Price, Quota, Target, Usage};
use crate::domain::{JobId, clip_text};

/// Which provider a job begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balancing {
    /// The default provider, then the others in their order.
    #[default]
    Default,
    /// Jobs begin with one provider after the other, in equal shares; each goes on in the usual order.
    RoundRobin,
    /// Each job has an order of its own.
    Random,
    /// The cheapest by the price of the whole call; one without a price comes last.
    LowestCost,
}

impl Balancing {
    /// Every policy with its word in settings.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Default, "default"),
        (Self::RoundRobin, "round-robin"),
        (Self::Random, "random"),
        (Self::LowestCost, "lowest-cost"),
    ];
}

/// What a job asks of a model.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// The name in the job's input.
    pub(super) model: Option<&'a str>,
    /// Tokens of the prompt, estimated without a margin.
    pub(super) input: u64,
    /// The output limit.
    pub(super) output: u64,
    /// What the model must not lack.
    pub(super) needs: Vec<Capability>,
}

impl Wanted<'_> {
    /// What the call uses at the most, as far as can be told.
    pub(super) fn at_most(&self) -> Usage {
        Usage { input: estimate::with_margin(self.input), output: self.output, ..Usage::default() }
    }
}

/// One way to carry out a call.
#[derive(Clone)]
pub(super) struct Choice {
    pub(super) provider: Arc<Provider>,
    /// The model's name as the provider knows it.
    pub(super) model: Arc<str>,
    /// Whether it stands in the configuration, so that it may be a label.
    pub(super) listed: bool,
    pub(super) window: Option<u64>,
    pub(super) price: Option<Price>,
    quota: Quota,
}

impl Choice {
    fn of(provider: &Arc<Provider>, model: &ModelInfo) -> Self {
        Self {
            provider: Arc::clone(provider),
            model: Arc::clone(&model.name),
            listed: true,
            window: model.context_window,
            price: model.price,
            quota: model.quota,
        }
    }

    fn unlisted(provider: &Arc<Provider>, model: &str) -> Self {
        let (provider, model) = (Arc::clone(provider), model.into());
        Self { provider, model, listed: false, window: None, price: None, quota: Quota::default() }
    }

    pub(super) fn target(&self) -> Target {
        Target { provider: self.provider.info.name.clone(), model: Arc::clone(&self.model) }
    }

    /// As the fleet's book wants to see it.
    pub(super) fn candidate(&self, wanted: &Wanted<'_>) -> Candidate {
        let most = wanted.at_most();
        Candidate {
            target: self.target(),
            provider: self.provider.info.quota,
            model: self.quota,
            tokens: most.total(),
            nano_usd: self.cost(&most).unwrap_or(0),
        }
    }

    pub(super) fn cost(&self, usage: &Usage) -> Option<u64> {
        self.price.map(|price| price.of(usage))
    }

    /// Whether this window is larger than that of `other`. An unknown one may be anything.
    pub(super) fn is_roomier_than(&self, other: &Self) -> bool {
        match (self.window, other.window) {
            (Some(own), Some(other)) => own > other,
            (own, other) => own.is_some() || other.is_some(),
        }
    }

    fn lack(&self, wanted: &Wanted<'_>) -> Option<Capability> {
        wanted.needs.iter().copied().find(|need| self.provider.lacks(&self.model, *need))
    }
}

/// The providers and the policy.
pub(super) struct Routes {
    /// The default one first.
    providers: Vec<Arc<Provider>>,
    fallback: bool,
    balancing: Balancing,
}

impl Routes {
    pub(super) fn new(options: &LlmOptions) -> Result<Self, LlmSetupError> {
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for own in &options.providers {
            let ProviderOptions { info, .. } = own;
            if providers.iter().any(|p| p.info.name == info.name) {
                return Err(LlmSetupError::Provider(info.name.clone()));
            }
            providers.push(Arc::new(Provider::new(own, options)?));
        }
        if let Some(name) = &options.default_provider {
            let at = providers.iter().position(|p| p.info.name == *name);
            let at = at.ok_or_else(|| LlmSetupError::Provider(name.clone()))?;
            providers[..=at].rotate_right(1);
        }
        if providers.is_empty() {
            return Err(LlmSetupError::NoModel);
        }
        Ok(Self { providers, fallback: options.fallback, balancing: options.balancing })
    }

    /// Where a call may go, in the order of the providers.
    ///
    /// The error is a sentence for the client: no provider has the model, or none can carry the call.
    pub(super) fn fitting(&self, wanted: &Wanted<'_>) -> Result<Vec<Choice>, String> {
        if wanted.model.is_some_and(|model| model.chars().any(char::is_control)) {
            return Err("the name of a model has no control characters".to_owned());
        }
        let mut named = match wanted.model {
            None => self.providers.iter().filter_map(|p| Some(Choice::of(p, p.info.models.first()?))).collect(),
            Some(model) => self.named(model),
        };
        if named.is_empty() {
            return Err(self.unknown(wanted.model.unwrap_or_default()));
        }
        if !self.fallback && self.balancing == Balancing::Default {
            named.truncate(1);
        }
        let needed = wanted.input.saturating_add(wanted.output);
        let largest = named.iter().filter_map(|c| c.window).max();
        named.retain(|choice| choice.window.is_none_or(|window| needed <= window));
        if named.is_empty() {
            let largest = largest.unwrap_or_default();
            return Err(format!(
                "about {} tokens of prompt and {} of output are more than the context window of any model that \
                 the job may use (the largest has {largest})",
                wanted.input, wanted.output
            ));
        }
        let lack = named.iter().find_map(|choice| choice.lack(wanted));
        named.retain(|choice| choice.lack(wanted).is_none());
        match lack {
            Some(lack) if named.is_empty() => Err(format!("no model that the job may use takes `{}`", lack.word())),
            _ => Ok(named),
        }
    }

    /// Where attempt `attempt` of a job may go, best first: the chain of the job, turned on by one for each
    /// attempt before. Without fallback the chain has one link.
    pub(super) fn chain(&self, wanted: &Wanted<'_>, job: JobId, attempt: u32) -> Result<Vec<Choice>, String> {
        let mut choices = self.fitting(wanted)?;
        let lot = |salt: usize| {
            let mut hasher = DefaultHasher::new();
            (job, salt).hash(&mut hasher);
            hasher.finish()
        };
        match self.balancing {
            Balancing::Default => {}
            Balancing::RoundRobin => {
                let turn = lot(0) % choices.len() as u64;
                choices.rotate_left(usize::try_from(turn).unwrap_or_default());
            }
            Balancing::Random => {
                let mut drawn: Vec<(u64, Choice)> =
                    choices.into_iter().enumerate().map(|(at, choice)| (lot(at), choice)).collect();
                drawn.sort_by_key(|(lot, _)| *lot);
                choices = drawn.into_iter().map(|(_, choice)| choice).collect();
            }
            Balancing::LowestCost => {
                let most = wanted.at_most();
                choices.sort_by_key(|choice| choice.cost(&most).map_or((1, 0), |cost| (0, cost)));
            }
        }
        if !self.fallback {
            choices.truncate(1);
        }
        let turns = attempt.saturating_sub(1) as usize % choices.len();
        choices.rotate_left(turns);
        Ok(choices)
    }

    /// Providers that list the model; else the one that `provider/model` names; else those that pass any
    /// model on.
    fn named(&self, model: &str) -> Vec<Choice> {
        let listing = |name: &str| -> Vec<Choice> {
            self.providers.iter().filter_map(|p| Some(Choice::of(p, p.model(name)?))).collect()
        };
        let listed = listing(model);
        if !listed.is_empty() {
            return listed;
        }
        if let Some((prefix, rest)) = model.split_once('/')
            && let Some(provider) = self.providers.iter().find(|p| p.info.name.as_str() == prefix)
        {
            let own = provider.model(rest).map(|m| Choice::of(provider, m));
            let passed = || provider.info.open_models.then(|| Choice::unlisted(provider, rest));
            return own.or_else(passed).into_iter().collect();
        }
        let open = self.providers.iter().filter(|p| p.info.open_models);
        open.map(|p| Choice::unlisted(p, model)).collect()
    }

    fn unknown(&self, model: &str) -> String {
        const SHOWN: usize = 20;
        let names: Vec<&str> = self.providers.iter().flat_map(|p| p.info.models.iter().map(|m| &*m.name)).collect();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        let known = names[..names.len().min(SHOWN)].join(", ");
        format!("no configured provider has the model `{}`; known are {known}{more}", clip_text(model, 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProviderName;
    use crate::domain::llm::ProviderInfo;

    fn routes(balancing: Balancing, models: &[&[&str]]) -> Routes {
        let provider = |(at, names): (usize, &&[&str])| {
            let model = |name: &&str| ModelInfo {
                name: (*name).into(),
                aliases: vec!["alias".to_owned()],
                context_window: None,
                price: None,
                quota: Quota::default(),
            };
            let info = ProviderInfo {
                name: ProviderName::new(&format!("p{at}")).unwrap(),
                kind: "compatible",
                models: names.iter().map(model).collect(),
                open_models: names.len() > 1,
                quota: Quota::default(),
            };
            ProviderOptions { info, base_url: "http://h".to_owned(), api_key: None, lacks: Vec::new() }
        };
        let options = LlmOptions::with_providers(models.iter().enumerate().map(provider).collect());
        Routes::new(&LlmOptions { balancing, ..options }).unwrap()
    }

    fn wanted(model: Option<&str>) -> Wanted<'_> {
        Wanted { model, input: 10, output: 10, needs: Vec::new() }
    }

    fn targets(choices: &[Choice]) -> Vec<String> {
        choices.iter().map(|choice| choice.target().to_string()).collect()
    }

    #[test]
    fn each_round_of_attempts_begins_once_with_every_candidate() {
        for (balancing, word) in Balancing::ALL {
            let routes = routes(balancing, &[&["a"], &["b"], &["c"]]);
            for n in 0..20 {
                let job = JobId::new(n, 0);
                let chain = |attempt| routes.chain(&wanted(None), job, attempt).map(|c| targets(&c)).unwrap();
                let mut begun: Vec<String> = (1..=3).map(|attempt| chain(attempt).remove(0)).collect();
                assert_eq!(chain(2)[0], chain(1)[1], "{word}: the next attempt begins where this one would go on");
                assert_eq!(chain(4), chain(1), "{word}: the same order in every process and round");
                begun.sort();
                assert_eq!(begun, ["p0/a", "p1/b", "p2/c"], "{word}");
            }
        }
    }

    #[test]
    fn a_name_leads_to_those_who_list_it_then_to_its_prefix_then_to_the_open_ones() {
        let routes = routes(Balancing::Default, &[&["a", "p2/x"], &["a"], &["c", "d"]]);
        let to = |model| routes.fitting(&wanted(Some(model))).map(|c| targets(&c));
        assert_eq!(to("a").unwrap(), ["p0/a", "p1/a"]);
        assert_eq!(to("alias").unwrap(), ["p0/a", "p1/a", "p2/c"]);
        assert_eq!(to("p2/x").unwrap(), ["p0/p2/x"], "a listed name wins over a prefix");
        assert_eq!((to("p1/a").unwrap(), to("p2/any").unwrap()), (vec!["p1/a".to_owned()], vec!["p2/any".to_owned()]));
        assert_eq!(to("any/thing").unwrap(), ["p0/any/thing", "p2/any/thing"]);
        assert!(to("p1/b").unwrap_err().contains("known are a, p2/x, a, c, d"));
    }
}
