//! The table of providers: prefixes, key variables, addresses.
//!
//! Source: the compatibility contract, "providers", and each provider's own documentation of its address, November
//! 2026. Order matters for the environment default only: deployments appear in this order.

use super::{AuthScheme, Dialect, Provider};

/// A provider that speaks OpenAI's format, with a key.
const OPENAI_COMPATIBLE: Provider = Provider {
    name: "",
    aliases: &[],
    key_env: &[],
    base_url: None,
    base_env: &[],
    needs_key: true,
    auth: AuthScheme::Bearer,
    dialect: Dialect::OpenAi,
};

/// A provider that is known by name only.
const NOT_YET: Provider = Provider {
    dialect: Dialect::NotYet,
    ..OPENAI_COMPATIBLE
};

/// Every provider that is known.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        name: "openai",
        aliases: &["text-completion-openai"],
        key_env: &["OPENAI_API_KEY"],
        base_url: Some("https://api.openai.com/v1"),
        base_env: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "custom_openai",
        aliases: &["openai_like"],
        needs_key: false,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "mistral",
        aliases: &["mistralai"],
        key_env: &["MISTRAL_API_KEY"],
        base_url: Some("https://api.mistral.ai/v1"),
        base_env: &["MISTRAL_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "codestral",
        aliases: &["text-completion-codestral"],
        key_env: &["CODESTRAL_API_KEY"],
        base_url: Some("https://codestral.mistral.ai/v1"),
        base_env: &["CODESTRAL_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "groq",
        key_env: &["GROQ_API_KEY"],
        base_url: Some("https://api.groq.com/openai/v1"),
        base_env: &["GROQ_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "deepseek",
        key_env: &["DEEPSEEK_API_KEY"],
        base_url: Some("https://api.deepseek.com/beta"),
        base_env: &["DEEPSEEK_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "xai",
        key_env: &["XAI_API_KEY"],
        base_url: Some("https://api.x.ai/v1"),
        base_env: &["XAI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "together_ai",
        aliases: &["together"],
        key_env: &[
            "TOGETHER_API_KEY",
            "TOGETHER_AI_API_KEY",
            "TOGETHERAI_API_KEY",
            "TOGETHER_AI_TOKEN",
        ],
        base_url: Some("https://api.together.ai/v1"),
        base_env: &["TOGETHER_AI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "fireworks_ai",
        aliases: &["fireworks"],
        key_env: &[
            "FIREWORKS_API_KEY",
            "FIREWORKS_AI_API_KEY",
            "FIREWORKSAI_API_KEY",
            "FIREWORKS_AI_TOKEN",
        ],
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        base_env: &["FIREWORKS_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "openrouter",
        key_env: &["OPENROUTER_API_KEY", "OR_API_KEY"],
        base_url: Some("https://openrouter.ai/api/v1"),
        base_env: &["OPENROUTER_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "perplexity",
        key_env: &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
        base_url: Some("https://api.perplexity.ai"),
        base_env: &["PERPLEXITY_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "hosted_vllm",
        aliases: &["vllm"],
        key_env: &["HOSTED_VLLM_API_KEY"],
        base_env: &["HOSTED_VLLM_API_BASE"],
        needs_key: false,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "cerebras",
        key_env: &["CEREBRAS_API_KEY"],
        base_url: Some("https://api.cerebras.ai/v1"),
        base_env: &["CEREBRAS_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "sambanova",
        key_env: &["SAMBANOVA_API_KEY"],
        base_url: Some("https://api.sambanova.ai/v1"),
        base_env: &["SAMBANOVA_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "nvidia_nim",
        key_env: &["NVIDIA_NIM_API_KEY"],
        base_url: Some("https://integrate.api.nvidia.com/v1"),
        base_env: &["NVIDIA_NIM_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "ai21_chat",
        aliases: &["ai21"],
        key_env: &["AI21_API_KEY"],
        base_url: Some("https://api.ai21.com/studio/v1"),
        base_env: &["AI21_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "deepinfra",
        key_env: &["DEEPINFRA_API_KEY"],
        base_url: Some("https://api.deepinfra.com/v1/openai"),
        base_env: &["DEEPINFRA_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "github",
        key_env: &["GITHUB_API_KEY"],
        base_url: Some("https://models.github.ai/inference"),
        base_env: &["GITHUB_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "lm_studio",
        key_env: &["LM_STUDIO_API_KEY"],
        base_url: Some("http://localhost:1234/v1"),
        base_env: &["LM_STUDIO_API_BASE"],
        needs_key: false,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "llamafile",
        key_env: &["LLAMAFILE_API_KEY"],
        base_url: Some("http://127.0.0.1:8080/v1"),
        base_env: &["LLAMAFILE_API_BASE"],
        needs_key: false,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "litellm_proxy",
        key_env: &["LITELLM_PROXY_API_KEY"],
        base_env: &["LITELLM_PROXY_API_BASE"],
        needs_key: false,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "moonshot",
        key_env: &["MOONSHOT_API_KEY"],
        base_url: Some("https://api.moonshot.ai/v1"),
        base_env: &["MOONSHOT_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "nebius",
        key_env: &["NEBIUS_API_KEY"],
        base_url: Some("https://api.studio.nebius.ai/v1"),
        base_env: &["NEBIUS_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "novita",
        key_env: &["NOVITA_API_KEY"],
        base_url: Some("https://api.novita.ai/v3/openai"),
        base_env: &["NOVITA_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "hyperbolic",
        key_env: &["HYPERBOLIC_API_KEY"],
        base_url: Some("https://api.hyperbolic.xyz/v1"),
        base_env: &["HYPERBOLIC_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "lambda_ai",
        aliases: &["lambda"],
        key_env: &["LAMBDA_API_KEY"],
        base_url: Some("https://api.lambda.ai/v1"),
        base_env: &["LAMBDA_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "featherless_ai",
        aliases: &["featherless"],
        key_env: &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"],
        base_url: Some("https://api.featherless.ai/v1"),
        base_env: &["FEATHERLESS_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "friendliai",
        aliases: &["friendli"],
        key_env: &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
        base_url: Some("https://api.friendli.ai/serverless/v1"),
        base_env: &["FRIENDLI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "baseten",
        key_env: &["BASETEN_API_KEY"],
        base_url: Some("https://inference.baseten.co/v1"),
        base_env: &["BASETEN_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "meta_llama",
        aliases: &["meta"],
        key_env: &["LLAMA_API_KEY", "META_LLAMA_API_KEY"],
        base_url: Some("https://api.llama.com/compat/v1"),
        base_env: &["LLAMA_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "volcengine",
        key_env: &["VOLCENGINE_API_KEY", "ARK_API_KEY"],
        base_url: Some("https://ark.cn-beijing.volces.com/api/v3"),
        base_env: &["VOLCENGINE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "anyscale",
        key_env: &["ANYSCALE_API_KEY"],
        base_url: Some("https://api.endpoints.anyscale.com/v1"),
        base_env: &["ANYSCALE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "wandb",
        key_env: &["WANDB_API_KEY"],
        base_url: Some("https://api.inference.wandb.ai/v1"),
        base_env: &["WANDB_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "databricks",
        key_env: &["DATABRICKS_API_KEY"],
        base_env: &["DATABRICKS_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "cloudflare",
        key_env: &["CLOUDFLARE_API_KEY"],
        base_url: Some(
            "https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        ),
        base_env: &["CLOUDFLARE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "huggingface",
        key_env: &["HUGGINGFACE_API_KEY", "HF_TOKEN"],
        base_url: Some("https://router.huggingface.co/v1"),
        base_env: &["HF_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "voyage",
        key_env: &["VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"],
        base_url: Some("https://api.voyageai.com/v1"),
        base_env: &["VOYAGE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "jina_ai",
        aliases: &["jina"],
        key_env: &["JINA_AI_API_KEY", "JINA_API_KEY", "JINA_AI_TOKEN"],
        base_url: Some("https://api.jina.ai/v1"),
        base_env: &["JINA_AI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "dashscope",
        key_env: &["DASHSCOPE_API_KEY"],
        base_url: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        base_env: &["DASHSCOPE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "zai",
        key_env: &["ZAI_API_KEY"],
        base_url: Some("https://api.z.ai/api/paas/v4"),
        base_env: &["ZAI_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "minimax",
        key_env: &["MINIMAX_API_KEY"],
        base_url: Some("https://api.minimax.io/v1"),
        base_env: &["MINIMAX_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "nscale",
        key_env: &["NSCALE_API_KEY"],
        base_url: Some("https://inference.api.nscale.com/v1"),
        base_env: &["NSCALE_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "vercel_ai_gateway",
        key_env: &["VERCEL_AI_GATEWAY_API_KEY"],
        base_url: Some("https://ai-gateway.vercel.sh/v1"),
        base_env: &["VERCEL_AI_GATEWAY_API_BASE"],
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "anthropic",
        aliases: &["claude"],
        key_env: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
        base_url: Some("https://api.anthropic.com"),
        base_env: &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
        needs_key: true,
        auth: AuthScheme::Anthropic,
        dialect: Dialect::Anthropic,
    },
    // Known by name, not spoken yet.
    Provider {
        name: "gemini",
        aliases: &["google_ai_studio"],
        key_env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "vertex_ai",
        aliases: &["vertex_ai_beta"],
        ..NOT_YET
    },
    Provider {
        name: "bedrock",
        aliases: &["bedrock_converse"],
        ..NOT_YET
    },
    Provider {
        name: "azure",
        aliases: &["azure_text"],
        key_env: &["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "azure_ai",
        key_env: &["AZURE_AI_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "cohere",
        aliases: &["cohere_chat"],
        key_env: &["COHERE_API_KEY", "CO_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "ollama",
        aliases: &["ollama_chat"],
        key_env: &["OLLAMA_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "sagemaker",
        aliases: &["sagemaker_chat"],
        ..NOT_YET
    },
    Provider {
        name: "replicate",
        key_env: &["REPLICATE_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "watsonx",
        aliases: &["watsonx_text"],
        key_env: &["WATSONX_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "snowflake",
        key_env: &["SNOWFLAKE_JWT"],
        ..NOT_YET
    },
    Provider {
        name: "predibase",
        key_env: &["PREDIBASE_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "oci",
        ..NOT_YET
    },
    Provider {
        name: "triton",
        ..NOT_YET
    },
    Provider {
        name: "clarifai",
        key_env: &["CLARIFAI_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "deepgram",
        key_env: &["DEEPGRAM_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "elevenlabs",
        key_env: &["ELEVENLABS_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "github_copilot",
        ..NOT_YET
    },
    Provider {
        name: "nlp_cloud",
        key_env: &["NLP_CLOUD_API_KEY"],
        ..NOT_YET
    },
    Provider {
        name: "petals",
        ..NOT_YET
    },
    Provider {
        name: "infinity",
        key_env: &["INFINITY_API_KEY"],
        ..NOT_YET
    },
];
