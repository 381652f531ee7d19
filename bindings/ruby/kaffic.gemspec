# frozen_string_literal: true

# `rake gem` puts the Rust sources in place and builds the gem from them; `rake gem:native` builds one
# that carries the compiled library for this platform, of each version of Ruby that it was compiled with.
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
    libraries = Dir.chdir(__dir__) { Dir["lib/kaffic/[0-9]*/kaffic_ruby.#{RbConfig::CONFIG["DLEXT"]}"] }
    versions = libraries.map { |path| Gem::Version.new("#{path[/\d+\.\d+/]}.0") }.sort
    spec.platform = Gem::Platform.local
    spec.required_ruby_version = [">= #{versions.first}", "< #{versions.last.bump}.dev"]
    spec.files += libraries
  else
    spec.required_ruby_version = ">= 3.1"
    spec.extensions = ["ext/kaffic/extconf.rb"]
    spec.files += Dir.chdir(__dir__) { Dir["ext/kaffic/extconf.rb", "ext/kaffic/rust/**/*"].select { |path| File.file?(path) } }
  end
end
