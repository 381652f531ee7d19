# frozen_string_literal: true

# Writes a Makefile that has cargo build the native part. Nothing but Rust, a C compiler and libclang is
# needed besides Ruby's headers.
require "rbconfig"

# A gem carries all of the Rust sources; in a checkout they lie where they are.
carried = File.join(__dir__, "rust/bindings/ruby/ext/kaffic/Cargo.toml")
manifest = File.exist?(carried) ? carried : File.join(__dir__, "Cargo.toml")
cargo = ENV.fetch("CARGO", "cargo")
unless system(cargo, "--version")
  abort "kaffic is written in Rust, and there is no `#{cargo}` here: get Rust 1.88 or newer from https://rustup.rs"
end

profile = ENV.fetch("KAFFIC_PROFILE", "dist")
target = ENV["CARGO_TARGET_DIR"] || File.expand_path("target")
built = File.join(target, profile == "dev" ? "debug" : profile, "libkaffic_ruby.#{RbConfig::CONFIG["SOEXT"]}")
library = "kaffic_ruby.#{RbConfig::CONFIG["DLEXT"]}"

# What cargo leaves is of no use after the installation, and large.
File.write("Makefile", <<~MAKE)
  sitearchdir = #{RbConfig::CONFIG["sitearchdir"]}
  all: #{library}
  #{library}:
  \tRUBY='#{RbConfig.ruby}' #{cargo} build --locked --profile #{profile} --manifest-path '#{manifest}' --target-dir '#{target}'
  \tcp '#{built}' #{library}
  install: all
  \tmkdir -p $(DESTDIR)$(sitearchdir)/kaffic
  \tmv #{library} $(DESTDIR)$(sitearchdir)/kaffic/
  #{"\trm -rf '#{target}'" unless ENV["CARGO_TARGET_DIR"]}
  clean:
  \trm -f #{library}
  .PHONY: all install clean #{library}
MAKE
