"""Where weights come from that are called by a name: `zoo:NAME`, `hub:OWNER/NAME`, and whatever a
plug-in registers (`i2i.core.registry.register_weight_source`)."""
