//! The kinds of secrets that are found.

use serde::Serialize;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal;)*) => {
        /// The kind of secret that it looks like. The names are part of the JSON contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum SecretKind {
            $($(#[$doc])* #[serde(rename = $id)] $name,)*
        }

        impl SecretKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }

            /// What it is, for people.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A private key in PEM: PKCS #1, PKCS #8, SEC 1, OpenSSH or PGP.
    PrivateKey = "private-key", "private key";
    /// A private key of `PuTTY`.
    PuttyKey = "putty-key", "PuTTY private key";
    /// A secret key of age.
    AgeKey = "age-key", "age secret key";
    /// An access key ID of AWS; the secret is usually next to it.
    AwsAccessKey = "aws-access-key", "AWS access key ID";
    /// A secret access key of AWS.
    AwsSecretKey = "aws-secret-key", "AWS secret access key";
    /// The access key of an Azure storage account.
    AzureStorageKey = "azure-storage-key", "Azure storage account key";
    /// The key file of a Google Cloud service account.
    GcpServiceAccount = "gcp-service-account", "Google Cloud service account key";
    /// A Google API key.
    GoogleApiKey = "google-api-key", "Google API key";
    /// A Google OAuth client secret.
    GoogleOauthSecret = "google-oauth-secret", "Google OAuth client secret";
    /// A GitHub token.
    GithubToken = "github-token", "GitHub token";
    /// A GitLab token.
    GitlabToken = "gitlab-token", "GitLab token";
    /// A Slack token.
    SlackToken = "slack-token", "Slack token";
    /// A Slack webhook, which lets anybody post.
    SlackWebhook = "slack-webhook", "Slack webhook";
    /// An npm token.
    NpmToken = "npm-token", "npm token";
    /// A `PyPI` token.
    PypiToken = "pypi-token", "PyPI token";
    /// A `RubyGems` key.
    RubygemsKey = "rubygems-key", "RubyGems API key";
    /// A Docker Hub token.
    DockerToken = "docker-token", "Docker Hub token";
    /// A login to a registry, as `docker login` stores it.
    DockerAuth = "docker-auth", "registry login";
    /// A Stripe key.
    StripeKey = "stripe-key", "Stripe key";
    /// A `SendGrid` key.
    SendgridKey = "sendgrid-key", "SendGrid key";
    /// A `HashiCorp` Vault token.
    VaultToken = "vault-token", "Vault token";
    /// A `DigitalOcean` token.
    DigitaloceanToken = "digitalocean-token", "DigitalOcean token";
    /// A Shopify token.
    ShopifyToken = "shopify-token", "Shopify token";
    /// An Anthropic or `OpenAI` key.
    AiKey = "ai-key", "key of a language model service";
    /// A Hugging Face token.
    HuggingfaceToken = "huggingface-token", "Hugging Face token";
    /// A Grafana token.
    GrafanaToken = "grafana-token", "Grafana token";
    /// An Atlassian token.
    AtlassianToken = "atlassian-token", "Atlassian API token";
    /// A Tailscale key.
    TailscaleKey = "tailscale-key", "Tailscale key";
    /// A signed JSON web token.
    Jwt = "jwt", "signed token (JWT)";
    /// A URL with a password.
    UrlPassword = "url-password", "URL with a password";
    /// A password in an argument.
    PasswordArgument = "password-argument", "password in an argument";
    /// A password in a file that is made to hold passwords, such as `.netrc`.
    StoredPassword = "stored-password", "stored password";
    /// A value in the config: its name or its form suggests a secret.
    ConfigSecret = "config-secret", "secret in the config";
    /// The hash of a password, which can be attacked offline.
    PasswordHash = "password-hash", "password hash";
}
