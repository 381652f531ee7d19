# frozen_string_literal: true

# `rake gem` puts the Rust sources in place and builds the gem from them; `rake gem:native` builds one
# that carries the compiled library for this platform and version of Ruby.
require_relative "lib/kaffic/version"

Gem::Specification.new do |spec|
  spec.name = "kaffic"
  spec.version = Kaffic::VERSION
  spec.authors = ["The kaffic authors"]
  spec.license = "Apache-2.0"
  spec.summary = "A message log with no broker"
  spec.description = "Topics, partitions, offsets and consumer groups on any object storage: S3, Azure, Google " \
                     "Cloud, or a directory. There is no server to run."
  spec.metadata = { "rubygems_mfa_required" => "true" }
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "sig/**/*.rbs", "examples/*.rb", "README.md", "LICENSE"] }
  spec.require_paths = ["lib"]

  if ENV["KAFFIC_NATIVE"]
    version = RUBY_VERSION[/\d+\.\d+/]
    spec.platform = Gem::Platform.local
    spec.required_ruby_version = "~> #{version}.0"
    spec.files += ["lib/kaffic/#{version}/kaffic_ruby.#{RbConfig::CONFIG["DLEXT"]}"]
  else
    spec.required_ruby_version = ">= 3.1"
    spec.extensions = ["ext/kaffic/extconf.rb"]
    spec.files += Dir.chdir(__dir__) { Dir["ext/kaffic/extconf.rb", "ext/kaffic/rust/**/*"].select { |path| File.file?(path) } }
  end
end
