//! Config files for tests, written the way an operator would.

use super::upstream::Upstream;

/// The master key of the gateways under test.
pub(crate) const MASTER_KEY: &str = "sk-master-of-the-tests-0123456789abcdef";
/// The key that the gateway holds for the provider.
pub(crate) const PROVIDER_KEY: &str = "sk-provider-secret-fedcba9876543210";

/// One entry of `model_list`.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    group: String,
    params: Vec<String>,
    info: Vec<String>,
}

/// A config file that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigText {
    deployments: Vec<Deployment>,
    general: Vec<String>,
    router: Vec<String>,
    litellm: Vec<String>,
    trunkline: Vec<String>,
}

// === impl Deployment ===

impl Deployment {
    /// A deployment of the group at this provider, priced at 1 and 2 USD for a million tokens.
    pub(crate) fn of(group: &str, upstream: &Upstream) -> Self {
        Self::at(group, &upstream.base_url())
    }

    /// See [`Deployment::of`].
    pub(crate) fn at(group: &str, base_url: &str) -> Self {
        Self {
            group: group.to_owned(),
            params: vec![
                "model: openai/upstream-model".to_owned(),
                format!("api_base: {base_url}"),
                format!("api_key: {PROVIDER_KEY}"),
                "input_cost_per_token: 0.000001".to_owned(),
                "output_cost_per_token: 0.000002".to_owned(),
            ],
            info: Vec::new(),
        }
    }

    /// A deployment with nothing but these `litellm_params`.
    pub(crate) fn bare(group: &str, params: &[&str]) -> Self {
        Self {
            group: group.to_owned(),
            params: params.iter().map(|line| (*line).to_owned()).collect(),
            info: Vec::new(),
        }
    }

    /// Adds or replaces a line of `litellm_params`.
    pub(crate) fn param(mut self, line: &str) -> Self {
        let name = line.split(':').next().unwrap_or_default().to_owned();
        self.params
            .retain(|known| known.split(':').next() != Some(name.as_str()));
        self.params.push(line.to_owned());
        self
    }

    /// Sets `model_info.id`.
    pub(crate) fn id(self, id: &str) -> Self {
        self.info(&format!("id: {id}"))
    }

    /// Adds a line of `model_info`.
    pub(crate) fn info(mut self, line: &str) -> Self {
        self.info.push(line.to_owned());
        self
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("  - model_name: {}", self.group),
            "    litellm_params:".to_owned(),
        ];
        lines.extend(self.params.iter().map(|line| format!("      {line}")));
        if !self.info.is_empty() {
            lines.push("    model_info:".to_owned());
            lines.extend(self.info.iter().map(|line| format!("      {line}")));
        }
        lines
    }
}

// === impl ConfigText ===

impl ConfigText {
    /// No model, no master key, the books in a file beside the config.
    pub(crate) fn new() -> Self {
        Self::default().general("database_url: sqlite:///trunkline.db")
    }

    /// One model at one provider, which is asked once: no retry, no cooldown. Most tests are about one attempt.
    pub(crate) fn one(group: &str, upstream: &Upstream) -> Self {
        Self::new()
            .deployment(Deployment::of(group, upstream).id("the-deployment"))
            .one_attempt()
    }

    pub(crate) fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments.push(deployment);
        self
    }

    /// A failure stays a failure and is forgotten.
    pub(crate) fn one_attempt(self) -> Self {
        self.router("num_retries: 0")
            .router("disable_cooldowns: true")
    }

    pub(crate) fn with_master_key(self) -> Self {
        self.general(&format!("master_key: {MASTER_KEY}"))
    }

    pub(crate) fn general(mut self, line: &str) -> Self {
        self.general.push(line.to_owned());
        self
    }

    /// The books in another database.
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.general
            .retain(|line| !line.starts_with("database_url:"));
        self.general(&format!("database_url: {url}"))
    }

    pub(crate) fn router(mut self, line: &str) -> Self {
        self.router.push(line.to_owned());
        self
    }

    pub(crate) fn litellm(mut self, line: &str) -> Self {
        self.litellm.push(line.to_owned());
        self
    }

    pub(crate) fn trunkline(mut self, line: &str) -> Self {
        self.trunkline.push(line.to_owned());
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if !self.deployments.is_empty() {
            lines.push("model_list:".to_owned());
        }
        lines.extend(self.deployments.iter().flat_map(Deployment::lines));
        for (section, settings) in [
            ("general_settings", &self.general),
            ("router_settings", &self.router),
            ("litellm_settings", &self.litellm),
            ("trunkline", &self.trunkline),
        ] {
            if !settings.is_empty() {
                lines.push(format!("{section}:"));
            }
            lines.extend(settings.iter().map(|line| format!("  {line}")));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}
