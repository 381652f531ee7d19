# frozen_string_literal: true

module Kaffic
  # Warns of what was collected, or was left at the program's end, without having been closed.
  # @private
  class Unclosed
    # @return [Unclosed] tells of `what` unless {closed} comes first
    def self.watch(what, name)
      new(name).tap { |watch| ObjectSpace.define_finalizer(what, watch) }
    end

    def initialize(name)
      @name = name
      @pid = Process.pid
      @open = true
    end

    # Nothing will be said any more.
    def closed = @open = false

    # @return [Boolean]
    def open? = @open

    # What the garbage collector calls. In a child of the process it is not ours to tell.
    def call(_id)
      warn "kaffic: #{@name} was not closed" if @open && @pid == Process.pid
    end
  end
  private_constant :Unclosed
end
