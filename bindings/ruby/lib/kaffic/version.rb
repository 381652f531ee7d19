# frozen_string_literal: true

module Kaffic
  # The version of the gem, which is that of the whole of kaffic.
  VERSION = "0.1.0"
end
