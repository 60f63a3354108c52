"""processors/queries"""
